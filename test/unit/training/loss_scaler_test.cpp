#include "vizoo/training/loss_scaler.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using test::error_message;

TEST_CASE("the scale halves with each overflow and doubles after an interval", "[training]") {
  LossScaler scaler(LossScalerOptions().initial_scale(8).growth_interval(3));
  CHECK(scaler.scale() == 8);
  scaler.update(false);
  CHECK(scaler.scale() == 4);
  scaler.update(true);
  scaler.update(true);
  CHECK(scaler.scale() == 4);
  scaler.update(true);
  CHECK(scaler.scale() == 8);
  scaler.update(true);
  scaler.update(true);
  scaler.update(false);  // the interval begins anew
  scaler.update(true);
  scaler.update(true);
  CHECK(scaler.scale() == 4);
  for (int i = 0; i < 9; ++i) scaler.update(false);
  CHECK(scaler.scale() == 1);
  for (int i = 0; i < 3 * 40; ++i) scaler.update(true);
  CHECK(scaler.scale() == 16777216);
}

TEST_CASE("a loss scale goes on where it was saved", "[training]") {
  LossScaler first(LossScalerOptions().growth_interval(3));
  CHECK(first.scale() == 65536);
  first.update(false);
  first.update(true);
  first.update(true);
  TrainingState state;
  first.save(state);
  LossScaler second(LossScalerOptions().growth_interval(3));
  second.load(state);
  CHECK(second.scale() == 32768);
  second.update(true);
  CHECK(second.scale() == 65536);

  state.loss_scale = std::nullopt;
  second.load(state);
  CHECK(second.scale() == 65536);
  for (const double scale : {0.5, 3.0, 0.0, -2.0, std::ldexp(1.0, 25)}) {
    state.loss_scale = scale;
    CHECK(test::contains(error_message<CheckpointError>([&] { second.load(state); }),
                         "loss_scale: expected a power of two from 1 to 2^24, got "));
  }
}

TEST_CASE("a loss scale that is no power of two is refused", "[training]") {
  CHECK(error_message([] { LossScaler(LossScalerOptions().initial_scale(3)); }) ==
        "[loss scaler] initial_scale: expected a power of two from 1 to 2^24, got 3.");
  CHECK(error_message([] { LossScaler(LossScalerOptions().growth_factor(1)); }) ==
        "[loss scaler] growth_factor: expected a power of two above 1, got 1.");
  CHECK(error_message([] { LossScaler(LossScalerOptions().growth_interval(0)); }) ==
        "[loss scaler] growth_interval: expected at least 1, got 0.");
}

}  // namespace
}  // namespace vizoo
