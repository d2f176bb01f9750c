"""PyTorch as a contender."""

from __future__ import annotations

from itertools import cycle, islice, pairwise

from tests.benchmarks.training.workloads import Case, Data, Steps


def pytorch(case: Case, data: Data, *, fused: bool = False) -> Steps:
    """One operation after the other, `loss.item()` in every step; the update fused if asked."""
    import torch
    from torch import nn

    workload = case.workload
    activations = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
    layers: list[nn.Module] = []
    for before, after in pairwise(workload.widths):
        linear = nn.Linear(before, after, dtype=getattr(torch, workload.dtype))
        layers += linear, activations[workload.hidden]()
    model = nn.Sequential(*layers[:-1] if workload.classifies else layers)
    with torch.no_grad():
        for parameter, start in zip(model.parameters(), data.parameters.values(), strict=True):
            parameter.copy_(torch.from_numpy(start))
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case.optimizer]
    optimizer = rule(model.parameters(), lr=case.rate, fused=fused or None)
    cross_entropy, squares = nn.CrossEntropyLoss(), nn.MSELoss()
    batches = [
        (torch.from_numpy(x), torch.from_numpy(labels if workload.classifies else y))
        for x, labels, y in data.batches()
    ]

    def criterion(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 0.5 * squares(outputs, targets)

    loss_of = cross_entropy if workload.classifies else criterion

    def run(count: int) -> list[float]:
        losses = []
        for x, y in islice(cycle(batches), count):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return run
