#include "core/cancel.hpp"

#include <stdexcept>
#include <thread>

#include "support/catch.hpp"

using namespace sdtorch;

TEST_CASE("work is left where its thread's check throws, and nowhere else", "[core]") {
  CHECK_NOTHROW(leave_if_cancelled());
  int asked = 0;
  {
    const CancelScope outer([&] { ++asked; });
    leave_if_cancelled();
    {
      const CancelScope inner([] { throw std::runtime_error("enough"); });
      CHECK_THROWS_WITH(leave_if_cancelled(), "enough");
      bool thrown = false;
      std::thread([&] {
        try {
          leave_if_cancelled();
        } catch (const std::runtime_error&) {
          thrown = true;
        }
      }).join();
      CHECK_FALSE(thrown);
    }
    leave_if_cancelled();
  }
  leave_if_cancelled();
  CHECK(asked == 2);
}
