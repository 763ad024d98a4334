"""The page on the names of AutoLossGen's code has all of them."""

import re

import pytest

from tests.docs.pages import DOCS

#: Of both entry points and everything that adds options to their parsers, in the published order.
RUN = "gpu verbose log_file result_file random_seed model_name model_path controller_model_path shared_cnn_model_path"
RUN += " formula_path u_vector_size i_vector_size child_num_layers child_num_branches child_out_filters"
RUN += " sample_branch_id sample_skip_id search_loss train_with_optim child_grad_bound smooth_coef layers loss_func"
DATA = "path dataset sep label test_neg_n"
TRAINING = "load epoch check_epoch early_stop lr batch_size eval_batch_size dropout l2 optimizer metric skip_eval"
TRAINING += " skip_rate rej_rate skip_lim rej_lim lower_bound_zero_gradient search_train_epoch step_train_epoch"
CONTROLLER = "search_for controller_lstm_size controller_lstm_num_layers controller_tanh_constant"
CONTROLLER += " controller_skip_target controller_skip_weight controller_lr controller_entropy_weight controller_bl_dec"
CONTROLLER += " controller_num_aggregate controller_train_steps controller_l2"
FORMULA = "child_keep_prob child_lr_max child_lr_min child_lr_T child_l2_reg epsilon"
FORK = "model_lr arch_epochs arch_lr episodes entropy_weight baseline_weight ppo_epochs clip_epsilon seed"
OPTIONS = " ".join([RUN, DATA, TRAINING, CONTROLLER, FORMULA, FORK]).split()
OTHERS = ["reorg_log.py", "loss_valid_check.py", "RankNet", "info.json", "train_group.csv", "vt_group.csv", "log_0.txt"]


@pytest.fixture(scope="module")
def first_column() -> str:
    text = (DOCS / "loss_search_names.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^\| (.*?) \| ", text, flags=re.MULTILINE))


@pytest.mark.parametrize("option", OPTIONS)
def test_every_published_option_has_a_row(option: str, first_column: str) -> None:
    assert len(re.findall(rf"--{option}(?![\w])", first_column)) >= 1


@pytest.mark.parametrize("name", OTHERS)
def test_every_file_and_model_has_a_row(name: str, first_column: str) -> None:
    assert name in first_column


def test_no_row_is_empty() -> None:
    rows = re.findall(
        r"^\| .*? \|(.*)\|$", (DOCS / "loss_search_names.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert len(rows) > 60
    assert all(row.strip() for row in rows)
