//! `sum` of whole numbers, which is an error where it does not fit; of anything else, the engine's own.

use crate::checked::beyond;
use arrow::array::{
    Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, BooleanArray, PrimitiveArray,
};
use arrow::datatypes::{DataType, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `sum`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct CheckedSum {
    engine: Sum,
}

/// Numbers as wide as their sums are added up.
trait Whole:
    ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>> + Send + Sync + std::fmt::Debug
{
    fn added(left: Self::Native, right: Self::Native) -> Option<Self::Native>;
}

impl Whole for Int64Type {
    fn added(left: i64, right: i64) -> Option<i64> {
        left.checked_add(right)
    }
}

impl Whole for UInt64Type {
    fn added(left: u64, right: u64) -> Option<u64> {
        left.checked_add(right)
    }
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.engine.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Int64 if !args.is_distinct => Ok(Box::new(One::<Int64Type>::default())),
            DataType::UInt64 if !args.is_distinct => Ok(Box::new(One::<UInt64Type>::default())),
            _ => self.engine.accumulator(args),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        match args.return_field.data_type() {
            DataType::Int64 | DataType::UInt64 if !args.is_distinct => self.accumulator(args),
            _ => self.engine.create_sliding_accumulator(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match args.return_field.data_type() {
            DataType::Int64 => Ok(many::<Int64Type>()),
            DataType::UInt64 => Ok(many::<UInt64Type>()),
            _ => self.engine.create_groups_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.engine.groups_accumulator_supported(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.engine.state_fields(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.engine.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.engine.order_sensitivity()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.engine.set_monotonicity(data_type)
    }

    fn value_from_stats(&self, statistics_args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.engine.value_from_stats(statistics_args)
    }
}

/// The sum of one group, or of a window that moves.
#[derive(Debug)]
struct One<T: Whole> {
    sum: i128,
    /// Numbers in it; a sum of none is NULL.
    numbers: u64,
    kind: std::marker::PhantomData<T>,
}

impl<T: Whole> Default for One<T> {
    fn default() -> Self {
        Self { sum: 0, numbers: 0, kind: std::marker::PhantomData }
    }
}

impl<T: Whole> One<T> {
    /// The sum and the count of a batch.
    fn of(values: &[ArrayRef]) -> (i128, u64) {
        let Some(values) = values.first() else { return (0, 0) };
        let values: &PrimitiveArray<T> = values.as_primitive();
        let sum = if values.null_count() == 0 {
            values.values().iter().map(|value| (*value).into()).sum()
        } else {
            values.iter().flatten().map(Into::into).sum()
        };
        (sum, (values.len() - values.null_count()) as u64)
    }
}

impl<T: Whole> Accumulator for One<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, numbers) = Self::of(values);
        self.sum += sum;
        self.numbers += numbers;
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, numbers) = Self::of(values);
        self.sum -= sum;
        self.numbers -= numbers;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.numbers == 0 {
            return ScalarValue::try_new_null(&T::DATA_TYPE);
        }
        let sum = T::Native::try_from(self.sum).map_err(|_| beyond(&T::DATA_TYPE, "a sum"))?;
        ScalarValue::new_primitive::<T>(Some(sum), &T::DATA_TYPE)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sums of many groups: the engine's, and whether one of them did not fit.
struct Many {
    sums: Box<dyn GroupsAccumulator>,
    beyond: Arc<AtomicBool>,
    kind: DataType,
}

fn many<T: Whole>() -> Box<dyn GroupsAccumulator> {
    let beyond = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&beyond);
    let sums = PrimitiveGroupsAccumulator::<T, _>::new(&T::DATA_TYPE, move |sum, value| {
        match T::added(*sum, value) {
            Some(added) => *sum = added,
            None => told.store(true, Ordering::Relaxed),
        }
    });
    Box::new(Many { sums: Box::new(sums), beyond, kind: T::DATA_TYPE })
}

impl Many {
    fn fits(&self) -> Result<()> {
        if self.beyond.load(Ordering::Relaxed) {
            return Err(beyond(&self.kind, "a sum"));
        }
        Ok(())
    }
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.update_batch(values, group_indices, opt_filter, total_num_groups)?;
        self.fits()
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.merge_batch(values, group_indices, total_num_groups)?;
        self.fits()
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.sums.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.state(emit_to)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.sums.convert_to_state(values, opt_filter)
    }

    fn size(&self) -> usize {
        self.sums.size() + size_of_val(self)
    }
}
