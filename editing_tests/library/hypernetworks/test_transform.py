# SPDX-License-Identifier: Apache-2.0
"""The network of MEND: identity at its start, statistics that only training moves, what belongs to a matrix by name."""

from __future__ import annotations

import pytest
import torch

from editing_tests.library.random_models import FAMILIES, random_model
from editing_tests.library.random_networks import LAYERS, random_network, some_facts
from kedit.hypernetworks import Factors, HyperNetwork, mlp_matrices, read_factors
from kedit.hypernetworks.transform import Normaliser

SHAPES = {"a.weight": (3, 5), "b.weight": (3, 5), "c.weight": (5, 3)}


def factors(shape: tuple[int, int], n: int = 7, seed: int = 0) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    inputs, gradients = (4 + 3 * torch.randn(n, size, generator=generator) for size in reversed(shape))
    return Factors(inputs, gradients, torch.zeros(n, dtype=torch.long))


def test_an_untrained_network_is_the_identity_on_normalised_factors() -> None:
    network = HyperNetwork(SHAPES, rank=2, rate=0.5)
    found = factors((3, 5))
    network.observe({"a.weight": found})
    left, right = network("a.weight", found)
    for given, got in ((found.inputs, right), (found.gradients, left / -0.5)):
        normaliser = Normaliser(given.shape[1])
        normaliser.observe(given)
        assert torch.equal(got, normaliser(given))
        torch.testing.assert_close(got.mean(0), torch.zeros(given.shape[1]), rtol=0, atol=1e-5)
        torch.testing.assert_close(got.std(0), torch.ones(given.shape[1]), rtol=1e-5, atol=0)


def test_the_identity_is_where_training_can_leave_from() -> None:
    network = HyperNetwork(SHAPES, rank=2)
    network.observe({"a.weight": factors((3, 5))})
    left, right = network("a.weight", factors((3, 5)))
    (left.square().sum() + right.square().sum()).backward()
    gradient = network.get_parameter("transforms.3x5.layers.0.u").grad
    assert gradient is not None and bool(gradient.any())


def test_a_layer_is_the_formula_of_the_paper() -> None:
    network = HyperNetwork({"a.weight": (3, 5)}, rank=2, rate=0.25)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    found = factors((3, 5))
    z = torch.cat([found.inputs, found.gradients], 1)  # nothing observed, nothing normalised
    for layer in range(2):
        u, v, bias = (network.get_parameter(f"transforms.3x5.layers.{layer}.{part}") for part in ("u", "v", "bias"))
        scale = network.get_parameter("own.a/weight.scale")[layer]
        shift = network.get_parameter("own.a/weight.shift")[layer]
        z = z + torch.relu(scale * (z @ (u @ v).T + bias) + shift)
    left, right = network("a.weight", found)
    rate = network.get_parameter("own.a/weight.rate")
    torch.testing.assert_close(right, z[:, :5])
    torch.testing.assert_close(left, -rate * z[:, 5:])


@pytest.mark.parametrize("cuts", [(7,), (1, 6), (3, 0, 2, 2)])
def test_running_statistics_are_those_of_all_tokens(cuts: tuple[int, ...]) -> None:
    values = factors((3, 5)).inputs
    normaliser = Normaliser(5)
    for part in values.split(list(cuts)):
        normaliser.observe(part)
    expected = (values - values.mean(0)) / values.std(0)
    torch.testing.assert_close(normaliser(values), expected, rtol=1e-4, atol=1e-5)


def test_shapes_share_a_transform_and_matrices_have_rates_of_their_own() -> None:
    network = HyperNetwork(SHAPES, rank=2)
    assert set(network.transforms) == {"3x5", "5x3"}
    assert len(network.rates()) == 3 and len({id(rate) for rate in network.rates()}) == 3
    names = {name for name, _ in network.named_parameters()}
    assert {"own.a/weight.rate", "own.b/weight.scale", "own.c/weight.shift"} <= names


@pytest.mark.parametrize("family", FAMILIES)
def test_what_belongs_to_a_matrix_survives_another_order(family: str) -> None:
    model = random_model(family)
    one, other = random_network(model), HyperNetwork(dict(reversed(mlp_matrices(model, LAYERS).items())), rank=3)
    other.load_state_dict(one.state_dict())
    assert list(one.matrices) == list(reversed(other.matrices))
    rates = {name: float(rate) for name, rate in one.named_parameters() if name.endswith(".rate")}
    assert len(set(rates.values())) == len(rates) == len(one.matrices)
    with model.frozen():
        found = read_factors(model, some_facts(2), one.matrices)
    for name in one.matrices:
        for expected, got in zip(one(name, found[name]), other(name, found[name]), strict=True):
            assert torch.equal(expected, got)
