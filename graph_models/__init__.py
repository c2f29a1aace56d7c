"""PyG backbones, losses, objectives, samplers and the trainer."""
