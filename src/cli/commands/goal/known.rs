//! Names of metrics that everybody means the same by.

use runlake::Goal;

/// What says where or how a metric was measured, and not what it is.
const QUALIFIERS: &[&str] = &[
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "testing",
    "eval",
    "dev",
    "holdout",
    "oof",
    "cv",
    "best",
    "mean",
    "avg",
    "average",
    "final",
];

/// The greater the better; words joined by `_`.
const MAX: &[&str] = &[
    "acc",
    "accuracy",
    "ap",
    "auc",
    "auprc",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bleu",
    "c_index",
    "concordance_index",
    "cohen_kappa",
    "dice",
    "exact_match",
    "explained_variance",
    "f1",
    "f1_macro",
    "f1_micro",
    "f1_score",
    "f1_weighted",
    "fbeta",
    "gini",
    "hit_rate",
    "iou",
    "jaccard",
    "kappa",
    "log_likelihood",
    "macro_f1",
    "map",
    "matthews_corrcoef",
    "mcc",
    "meteor",
    "micro_f1",
    "miou",
    "mrr",
    "ndcg",
    "pass_rate",
    "pr_auc",
    "precision",
    "psnr",
    "r2",
    "r2_score",
    "recall",
    "reward",
    "roc_auc",
    "rouge",
    "silhouette",
    "sensitivity",
    "specificity",
    "ssim",
    "throughput",
    "top1_accuracy",
    "top5_accuracy",
];

/// The smaller the better.
const MIN: &[&str] = &[
    "bce",
    "brier",
    "brier_score",
    "calibration_error",
    "cer",
    "cross_entropy",
    "crossentropy",
    "duration",
    "ece",
    "epe",
    "err",
    "error",
    "error_rate",
    "fid",
    "fit_time",
    "fit_time_s",
    "focal_loss",
    "hinge_loss",
    "huber_loss",
    "kl",
    "kl_divergence",
    "latency",
    "latency_ms",
    "log_loss",
    "logloss",
    "loss",
    "mae",
    "mape",
    "mse",
    "msle",
    "nll",
    "perplexity",
    "ppl",
    "rmse",
    "rmsle",
    "rmspe",
    "smape",
    "train_time",
    "training_time",
    "wer",
    "zero_one_loss",
];

/// The goal that a name is known for: `val_AUC`, `cv/rmse`, `test.f1-score`. Nothing else is guessed: `auc_std` is no AUC.
pub fn goal(metric: &str) -> Option<Goal> {
    let words: Vec<String> = metric
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    // `train_time` is a name of its own, `train_loss` a loss; so the longest name that fits wins.
    (0..words.len()).find_map(|from| {
        let qualified = words[..from].iter().all(|word| QUALIFIERS.contains(&word.as_str()));
        let end = (from + 1..=words.len()).rev().find(|end| {
            words[*end..].iter().all(|word| QUALIFIERS.contains(&word.as_str())) && lookup(&words[from..*end]).is_some()
        });
        end.filter(|_| qualified).and_then(|end| lookup(&words[from..end]))
    })
}

fn lookup(words: &[String]) -> Option<Goal> {
    let name = words.join("_");
    match (MAX.contains(&name.as_str()), MIN.contains(&name.as_str())) {
        (true, _) => Some(Goal::Max),
        (_, true) => Some(Goal::Min),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_names_are_known_in_any_dress() {
        for name in ["auc", "val_AUC", "test.f1-score", "cv/accuracy", "accuracy_test", "best val r2", "recall"] {
            assert_eq!(goal(name), Some(Goal::Max), "{name}");
        }
        for name in ["loss", "train_loss", "val/rmse", "train_time", "log-loss", "mae_mean", "fit_time_s"] {
            assert_eq!(goal(name), Some(Goal::Min), "{name}");
        }
    }

    #[test]
    fn nothing_else_is_guessed() {
        for name in ["auc_std", "lr", "epoch", "lossy", "val", "", "accuracy_drop", "n_errors", "学习率", "loss_scale"]
        {
            assert_eq!(goal(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_is_known_for_both() {
        assert!(MAX.iter().all(|name| !MIN.contains(name)));
    }
}
