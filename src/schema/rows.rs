//! The macro that declares a table: a row struct, its Arrow schema with column docs, and both directions between them.

/// Declares the row struct of a table. The doc line of a field is what `DESCRIBE` and the docs say of the column.
macro_rules! rows {
    (
        $(#[doc = $table_doc:literal])*
        $row:ident { $( #[doc = $doc:literal] $field:ident : $type:ty ),* $(,)? }
    ) => {
        $(#[doc = $table_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $row {
            $( #[doc = $doc] pub $field: $type, )*
        }

        const _: () = {
        /// A builder per column.
        #[derive(Default)]
        pub struct Builder {
            $( $field: <$type as $crate::schema::Cell>::Builder, )*
        }

        impl $crate::schema::Row for $row {
            fn columns() -> &'static [$crate::schema::Column] {
                static COLUMNS: std::sync::LazyLock<Vec<$crate::schema::Column>> = std::sync::LazyLock::new(|| vec![
                    $( $crate::schema::Column {
                        name: stringify!($field).trim_start_matches("r#"),
                        data_type: <$type as $crate::schema::Cell>::data_type(),
                        doc: $doc.trim_ascii(),
                    }, )*
                ]);
                &COLUMNS
            }

            type Builder = Builder;

            fn push(builder: &mut Builder, row: Self) {
                $( <$type as $crate::schema::Cell>::push(&mut builder.$field, row.$field); )*
            }

            fn finish(builder: Builder) -> arrow::record_batch::RecordBatch {
                arrow::record_batch::RecordBatch::try_new(
                    Self::schema(),
                    vec![ $( <$type as $crate::schema::Cell>::finish(builder.$field), )* ],
                ).expect("the builders follow the schema")
            }

            fn from_batch(batch: &arrow::record_batch::RecordBatch) -> Result<Vec<Self>, $crate::schema::SchemaMismatch> {
                $( let $field = $crate::schema::column(batch, stringify!($field).trim_start_matches("r#"), &<$type as $crate::schema::Cell>::data_type())?; )*
                Ok((0..batch.num_rows())
                    .map(|i| $row { $( $field: <$type as $crate::schema::Cell>::get($field.as_ref(), i), )* })
                    .collect())
            }
        }
        };
    };
}

pub(crate) use rows;
