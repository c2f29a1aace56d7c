import torch

from graph_models.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer


def test_tensors_and_state_come_back(tmp_path):
    checkpoint = Checkpoint(tmp_path / "deep" / "file.safetensors", "key")
    checkpoint.save(
        {"a": torch.arange(3), "b": torch.tensor(1.5).requires_grad_()}, {"large": 2**127, "list": [1, None]}
    )
    tensors, state = checkpoint.load()
    assert torch.equal(tensors["a"], torch.arange(3))
    assert tensors["b"].item() == 1.5
    assert state == {"large": 2**127, "list": [1, None]}


def test_no_file_is_no_checkpoint(tmp_path):
    assert Checkpoint(tmp_path / "none.safetensors", "key").load() is None


def test_the_optimizer_takes_the_same_next_step():
    def step(optimizer, parameter):
        optimizer.zero_grad()
        (parameter.square().sum()).backward()
        optimizer.step()

    first = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    one = torch.optim.Adam([first], lr=0.1, fused=True)
    step(one, first)
    second = torch.nn.Parameter(first.detach().clone())
    two = torch.optim.Adam([second], lr=0.1, fused=True)
    restore_optimizer(two, {name: value.clone() for name, value in optimizer_tensors(one).items()})
    step(one, first)
    step(two, second)
    assert torch.equal(first, second)
