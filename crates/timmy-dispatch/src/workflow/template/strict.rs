//! Look-ups that notice every name that is not there.

use std::collections::BTreeSet;

use liquid_core::Result;
use liquid_core::Runtime;
use liquid_core::Value;
use liquid_core::ValueCow;
use liquid_core::model::KString;
use liquid_core::model::KStringCow;
use liquid_core::model::KStringRef;
use liquid_core::model::ScalarCow;
use liquid_core::model::ValueView;
use liquid_core::runtime::PartialStore;
use liquid_core::runtime::Registers;

use super::bounds::Meter;
use super::bounds::charge;

/// What the engine itself looks for at the start of every loop.
const LOOKED_FOR_BY_LOOPS: &str = "forloop";

/// A runtime in which a condition about an unknown name is a fault too. The engine's own conditions
/// take such a name for "no".
pub(super) struct Strict<'r>(&'r dyn Runtime);

impl<'r> Strict<'r> {
    pub(super) fn new(runtime: &'r dyn Runtime) -> Self {
        Self(runtime)
    }

    /// What went wrong without ending the rendering.
    pub(super) fn fault(&self) -> Option<String> {
        self.0.registers().get_mut::<Meter>().fault()
    }
}

impl Runtime for Strict<'_> {
    fn partials(&self) -> &dyn PartialStore {
        self.0.partials()
    }

    fn name(&self) -> Option<KStringRef<'_>> {
        self.0.name()
    }

    fn roots(&self) -> BTreeSet<KStringCow<'_>> {
        self.0.roots()
    }

    fn try_get(&self, path: &[ScalarCow<'_>]) -> Option<ValueCow<'_>> {
        charge(self.0, 1).ok()?;
        let found = self.0.try_get(path);
        if found.is_none() {
            let names: Vec<_> = path
                .iter()
                .map(|name| name.to_kstr().into_string())
                .collect();
            let mut meter = self.0.registers().get_mut::<Meter>();
            if names != [LOOKED_FOR_BY_LOOPS] && meter.unknown.is_none() {
                let name = timmy_core::text::clean_line(&names.join("."));
                let name = timmy_core::text::bound(&name, 80).replace('\n', " ");
                meter.unknown = Some(format!("unknown variable `{name}`"));
            }
        }
        found
    }

    fn get(&self, path: &[ScalarCow<'_>]) -> Result<ValueCow<'_>> {
        charge(self.0, 1)?;
        self.0.get(path)
    }

    fn set_global(&self, name: KString, value: Value) -> Option<Value> {
        self.0.set_global(name, value)
    }

    fn set_index(&self, name: KString, value: Value) -> Option<Value> {
        self.0.set_index(name, value)
    }

    fn get_index<'a>(&'a self, name: &str) -> Option<ValueCow<'a>> {
        self.0.get_index(name)
    }

    fn registers(&self) -> &Registers {
        self.0.registers()
    }
}
