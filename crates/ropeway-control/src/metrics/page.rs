//! Writes families and their samples through the encoder.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel, EncodeLabelSet, LabelSetEncoder,
    MetricEncoder, NoLabelSet,
};

use super::distribution::Distribution;
use super::families::Family;

/// The page being written.
pub(super) struct Page<'e>(DescriptorEncoder<'e>);

/// The samples of one family.
pub(super) struct Samples<'a> {
    encoder: MetricEncoder<'a>,
    labels: &'static [&'static str],
}

impl<'e> Page<'e> {
    /// Continues what `encoder` wrote.
    pub(super) fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    /// Begins a family.
    pub(super) fn family<'a>(&'a mut self, family: &'a Family) -> Result<Samples<'a>, fmt::Error> {
        let encoder = self.0.encode_descriptor(family.name, family.help, None, family.kind.metric_type())?;
        Ok(Samples { encoder, labels: family.labels })
    }
}

impl Samples<'_> {
    /// Adds a sample of a counter. `values` belong to the labels of the family, in their order.
    pub(super) fn counter(&mut self, values: &[&str], value: impl EncodeCounterValue + Copy) -> fmt::Result {
        self.labelled(values, |encoder| encoder.encode_counter::<NoLabelSet, _, f64>(&value, None))
    }

    /// Adds a sample of a gauge.
    pub(super) fn gauge(&mut self, values: &[&str], value: impl EncodeGaugeValue + Copy) -> fmt::Result {
        self.labelled(values, |encoder| encoder.encode_gauge(&value))
    }

    /// Adds the samples of a histogram.
    pub(super) fn histogram(&mut self, values: &[&str], value: &Distribution) -> fmt::Result {
        let (sum, count, buckets) = (value.sum_seconds(), value.count(), value.buckets());
        self.labelled(values, |encoder| encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None))
    }

    fn labelled(
        &mut self,
        values: &[&str],
        encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        // A family without labels is written without braces.
        if self.labels.is_empty() {
            return encode(&mut self.encoder);
        }
        let labels = Labels { names: self.labels, values };
        encode(&mut self.encoder.encode_family(&labels)?)
    }
}

struct Labels<'a> {
    names: &'static [&'static str],
    values: &'a [&'a str],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        debug_assert_eq!(self.names.len(), self.values.len());
        self.names
            .iter()
            .zip(self.values)
            .try_for_each(|(name, value)| (*name, *value).encode(encoder.encode_label()))
    }
}
