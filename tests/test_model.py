"""The autoencoder is the article's: size, names, and what it computes."""

from __future__ import annotations

import pytest
import torch
from builders import small_config
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from monitor.config.schema import Config
from monitor.core.errors import ConfigError
from monitor.model.autoencoder import Autoencoder, Inference, choose_device


class Article(nn.Module):
    """Written from the article's description, and from nothing of ours."""

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
    """One whose batch norms have seen something, so that their places and numbers matter."""
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


def test_the_articles_state_dict_loads_and_computes_the_same(trained_article: Article, tmp_path) -> None:
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


def test_what_is_computed_in_fewer_steps_once_trained_is_what_the_article_computes(trained_article: Article) -> None:
    ours = Autoencoder()
    ours.load_state_dict(trained_article.state_dict())
    windows = torch.randn(33, 1280)
    before = windows.clone()
    expected = trained_article(windows)
    for model in (ours.train(), ours.eval()):
        found = Inference(model)(windows)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    assert torch.equal(windows, before)
    for name, tensor in trained_article.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), "it is not changed by it"


def test_our_state_dict_loads_into_the_article(trained_article: Article) -> None:
    ours = Autoencoder()
    trained_article.load_state_dict(ours.state_dict(), strict=True)
    assert {name for name, _ in ours.named_children()} == {name for name, _ in trained_article.named_children()}


def test_in_training_both_compute_the_same_with_dropout_in_the_same_place(trained_article: Article) -> None:
    ours = Autoencoder()
    ours.load_state_dict(trained_article.state_dict())
    windows = torch.randn(33, 1280)
    outputs = []
    for model in (ours, trained_article):
        model.train()
        torch.manual_seed(7)
        outputs.append(model(windows))
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(ours(windows), outputs[0], atol=1e-3), "dropout is drawn anew each time"


def test_the_settings_give_the_sizes_and_the_dropout() -> None:
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


def test_a_window_is_reconstructed_alone_whatever_is_in_the_batch_with_it() -> None:
    torch.manual_seed(1)
    model = Autoencoder().eval()
    windows = torch.randn(8, 1280)
    together = model(windows)
    torch.testing.assert_close(together[3:4], model(windows[3:4]), rtol=1e-4, atol=1e-5)


def test_a_gpu_is_taken_where_there_is_one_and_missed_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [choose_device(wanted).type for wanted in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [choose_device(wanted).type for wanted in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="no GPU"):
        choose_device("cuda")
