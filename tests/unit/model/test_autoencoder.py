"""The autoencoder is that of the article: sizes, parameter names, and results."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from monitor.config.schema import Config
from monitor.model.autoencoder import Autoencoder, weights_of
from support.builders import small_config


class Article(nn.Module):
    """The autoencoder as the article describes it, written independently of our code."""

    def __init__(self) -> None:
        super().__init__()
        self.dense_enc1 = nn.Linear(1280, 512)
        self.bn1 = nn.BatchNorm1d(512)
        self.dense_enc2 = nn.Linear(512, 256)
        self.bn2 = nn.BatchNorm1d(256)
        self.dense_enc3 = nn.Linear(256, 128)
        self.dense_dec1 = nn.Linear(128, 256)
        self.bn4 = nn.BatchNorm1d(256)
        self.dense_dec2 = nn.Linear(256, 512)
        self.bn5 = nn.BatchNorm1d(512)
        self.drop1 = nn.Dropout(p=0.2)
        self.dense_dec3 = nn.Linear(512, 1280)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.dense_enc1(x))
        x = self.bn1(x)
        x = torch.relu(self.dense_enc2(x))
        x = self.bn2(x)
        z = self.dense_enc3(x)
        x = torch.relu(self.dense_dec1(z))
        x = self.bn4(x)
        x = torch.relu(self.dense_dec2(x))
        x = self.bn5(x)
        x = self.drop1(x)
        return self.dense_dec3(x)


@pytest.fixture
def trained_article() -> Article:
    """An autoencoder whose batch norms have nontrivial statistics, so that their order and values matter."""
    torch.manual_seed(0)
    article = Article()
    for norm in (article.bn1, article.bn2, article.bn4, article.bn5):
        nn.init.uniform_(norm.weight, -2, 2)
        nn.init.uniform_(norm.bias, -2, 2)
    article.train()
    for _ in range(5):
        article(3 * torch.randn(64, 1280) + 1)
    return article.eval()


def test_the_default_model_has_the_articles_number_of_parameters() -> None:
    for model in (Autoencoder(), Autoencoder.from_config(Config())):
        assert sum(p.numel() for p in model.parameters()) == 1_644_416


def test_the_articles_state_dict_loads_and_gives_the_same_reconstructions(trained_article: Article, tmp_path) -> None:
    torch.save(trained_article.state_dict(), tmp_path / "article.pt")
    save_file(trained_article.state_dict(), tmp_path / "article.safetensors")
    windows = torch.randn(33, 1280)
    expected = trained_article(windows)
    assert expected.std() > 0.01
    for state in (
        torch.load(tmp_path / "article.pt", weights_only=True),
        load_file(tmp_path / "article.safetensors"),
    ):
        ours = Autoencoder().eval()
        ours.load_state_dict(state, strict=True)
        torch.testing.assert_close(ours(windows), expected, rtol=1e-6, atol=1e-6)


def test_our_state_dict_loads_into_the_article(trained_article: Article) -> None:
    ours = Autoencoder()
    trained_article.load_state_dict(ours.state_dict(), strict=True)
    assert {name for name, _ in ours.named_children()} == {name for name, _ in trained_article.named_children()}


def test_in_training_mode_both_give_the_same_results_with_dropout(trained_article: Article) -> None:
    ours = Autoencoder()
    ours.load_state_dict(trained_article.state_dict())
    windows = torch.randn(33, 1280)
    outputs = []
    for model in (ours, trained_article):
        model.train()
        torch.manual_seed(7)
        outputs.append(model(windows))
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(ours(windows), outputs[0], atol=1e-3), "dropout is drawn anew in each call"


def test_sizes_and_dropout_are_those_of_the_settings() -> None:
    model = Autoencoder.from_config(
        small_config("features.n_mels=16", "features.window_frames=8", "model.hidden=[24,12]", "model.dropout=0.5")
    )
    assert [tuple(p.shape) for n, p in model.named_parameters() if n.endswith("weight") and "dense" in n] == [
        (24, 128),
        (12, 24),
        (8, 12),
        (12, 8),
        (24, 12),
        (128, 24),
    ]
    assert model.drop1.p == 0.5
    assert model.eval()(torch.zeros(3, 128)).shape == (3, 128)


def test_a_reconstruction_does_not_depend_on_the_other_windows_in_the_batch() -> None:
    torch.manual_seed(1)
    model = Autoencoder().eval()
    windows = torch.randn(8, 1280)
    together = model(windows)
    torch.testing.assert_close(together[3:4], model(windows[3:4]), rtol=1e-4, atol=1e-5)


def test_a_model_from_the_weights_of_another_gives_the_same_reconstructions(trained_article: Article) -> None:
    """The weights are copies in numpy arrays, as a bundle stores them."""
    ours = Autoencoder()
    ours.load_state_dict(trained_article.state_dict())
    weights = weights_of(ours)
    assert {name: (values.shape, values.dtype.name) for name, values in weights.items()} == {
        name: (tuple(values.shape), str(values.dtype).removeprefix("torch."))
        for name, values in trained_article.state_dict().items()
    }
    with torch.no_grad():
        ours.dense_enc1.weight.zero_()
    again = Autoencoder.from_weights(Config(), weights)
    assert not again.training
    windows = torch.randn(5, 1280)
    torch.testing.assert_close(again(windows), trained_article(windows), rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        again.dense_dec3.weight.zero_()
    assert weights["dense_dec3.weight"].any(), "the weights are copied"
