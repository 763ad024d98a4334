"""Published figures of top-N losses, to stand beside our own.

Recall@20 and NDCG@20 on the splits of IR-Benchmark: Yang et al., Breaking the Top-K Barrier, KDD 2025
(https://arxiv.org/abs/2508.05673), Table 2, and Yang et al., PSL, NeurIPS 2024 (https://arxiv.org/abs/2411.00163),
Table 1.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Figures(NamedTuple):
    """Recall and NDCG of the first 20 recommendations."""

    recall: float
    ndcg: float


#: By data set, model and loss.
PUBLISHED: Mapping[str, Mapping[str, Mapping[str, Figures]]] = {
    "health": {
        "MF": {
            "BPR": Figures(0.1627, 0.1234),
            "SL": Figures(0.1719, 0.1261),
            "BSL": Figures(0.1719, 0.1261),
            "PSL-relu": Figures(0.1718, 0.1268),
            "SL@20": Figures(0.1823, 0.1390),
        },
        "LightGCN": {
            "BPR": Figures(0.1618, 0.1203),
            "SL": Figures(0.1691, 0.1235),
            "BSL": Figures(0.1691, 0.1236),
            "PSL-relu": Figures(0.1701, 0.1270),
            "SL@20": Figures(0.1783, 0.1371),
        },
    },
    "electronic": {
        "MF": {
            "BPR": Figures(0.0816, 0.0527),
            "SL": Figures(0.0821, 0.0529),
            "BSL": Figures(0.0834, 0.0530),
            "PSL-tanh": Figures(0.0832, 0.0535),
            "PSL-relu": Figures(0.0838, 0.0541),
            "SL@20": Figures(0.0901, 0.0590),
        },
        "LightGCN": {
            "BPR": Figures(0.0813, 0.0524),
            "SL": Figures(0.0823, 0.0526),
            "BSL": Figures(0.0823, 0.0526),
            "PSL-tanh": Figures(0.0825, 0.0532),
            "PSL-relu": Figures(0.0830, 0.0536),
            "SL@20": Figures(0.0903, 0.0591),
        },
    },
    "gowalla": {
        "MF": {
            "BPR": Figures(0.1355, 0.1111),
            "SL": Figures(0.2064, 0.1624),
            "BSL": Figures(0.2071, 0.1630),
            "PSL-relu": Figures(0.2089, 0.1647),
            "SL@20": Figures(0.2121, 0.1709),
        },
        "LightGCN": {
            "BPR": Figures(0.1745, 0.1402),
            "SL": Figures(0.2068, 0.1628),
            "BSL": Figures(0.2069, 0.1628),
            "PSL-relu": Figures(0.2086, 0.1648),
            "SL@20": Figures(0.2128, 0.1729),
        },
    },
}
