"""The simulated endpoint in a process of its own, so that it survives the processes that a test kills."""

from language_models.simulator.process import ROOT, Simulator, simulator

__all__ = ["ROOT", "Simulator", "simulator"]
