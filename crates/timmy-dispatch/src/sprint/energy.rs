//! What a run took from the socket, as far as that can be known.

use timmy_core::EventKind;
use timmy_core::RunId;
use timmy_core::event::EnergySource;
use timmy_store::StoreError;
use timmy_telemetry::energy;
use timmy_telemetry::energy::Meter;

use super::desk::Desk;

impl Desk {
    /// The energy of a run: what its model calls took by the watts that are declared for their
    /// providers, or else what the whole machine took meanwhile. Nothing when neither is known.
    pub(super) async fn energy(
        &self,
        run: &RunId,
        meter: Option<Meter>,
    ) -> Result<Option<EventKind>, StoreError> {
        if !self.settings.watts.is_empty() {
            let events = self.events().run(run).await?;
            if let Some(millijoules) = energy::declared(&events, &self.settings.watts) {
                return Ok(Some(energy::event(millijoules, EnergySource::Declared)));
            }
        }
        let counted = meter.and_then(|mut meter| meter.sample());
        Ok(counted.map(|millijoules| energy::event(millijoules, EnergySource::Counted)))
    }
}
