//! `metrics`: one row per logged point. It only ever grows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, StringDictionaryBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

use super::{Row, rows};
use crate::model::{Micros, Step};

rows! {
    /// One row per logged point of a metric.
    MetricRow {
        /// The run.
        run_id: String,
        /// Its experiment.
        experiment_id: String,
        /// The metric.
        key: String,
        /// Canonical JSON of what qualifies the series (split, fold, class, ...); NULL for most.
        context: Option<String>,
        /// The step, where it is a whole number.
        step: Option<i64>,
        /// The step, where it is not a whole number.
        x: Option<f64>,
        /// When it was logged.
        time: Micros,
        /// The value; NaN and infinities as logged.
        value: f64,
    }
}

/// Builds batches of `metrics` column by column: points come by the million.
#[derive(Default)]
pub struct MetricBuilder {
    run_id: StringDictionaryBuilder<Int32Type>,
    experiment_id: StringDictionaryBuilder<Int32Type>,
    key: StringDictionaryBuilder<Int32Type>,
    context: StringDictionaryBuilder<Int32Type>,
    step: Int64Builder,
    x: Float64Builder,
    time: TimestampMicrosecondBuilder,
    value: Float64Builder,
    rows: usize,
}

impl MetricBuilder {
    /// Adds one point.
    #[allow(clippy::too_many_arguments, reason = "one per column")]
    pub fn push(
        &mut self,
        run_id: &str,
        experiment_id: &str,
        key: &str,
        context: Option<&str>,
        step: Step,
        time: Micros,
        value: f64,
    ) {
        self.run_id.append_value(run_id);
        self.experiment_id.append_value(experiment_id);
        self.key.append_value(key);
        self.context.append_option(context);
        self.step.append_option(step.whole());
        self.x.append_option(step.fraction());
        self.time.append_value(time.0);
        self.value.append_value(value);
        self.rows += 1;
    }

    /// Number of points so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no point yet.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Ends the batch and starts the next.
    pub fn finish(&mut self) -> RecordBatch {
        let plain = |array: ArrayRef| cast(&array, &DataType::Utf8).expect("a dictionary of text is text");
        let mut context = StringBuilder::new();
        let contexts = self.context.finish();
        let contexts = contexts.downcast_dict::<arrow::array::StringArray>().expect("it was built of text");
        contexts.into_iter().for_each(|c| context.append_option(c));
        self.rows = 0;
        RecordBatch::try_new(
            MetricRow::schema(),
            vec![
                plain(Arc::new(self.run_id.finish())),
                plain(Arc::new(self.experiment_id.finish())),
                plain(Arc::new(self.key.finish())),
                Arc::new(context.finish()),
                Arc::new(self.step.finish()),
                Arc::new(self.x.finish()),
                Arc::new(self.time.finish().with_timezone("UTC")),
                Arc::new(self.value.finish()),
            ],
        )
        .expect("the builders follow the schema")
    }
}
