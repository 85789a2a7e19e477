#include "vizoo/training/node_list.h"

#include <string>
#include <vector>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "vizoo/training/process_environment.h"

using namespace vizoo;
using test::error_message;

using Names = std::vector<std::string>;

TEST_CASE("node lists of SLURM") {
  CHECK(expand_node_list("login") == Names{"login"});
  CHECK(expand_node_list("a,b-1,c") == Names{"a", "b-1", "c"});
  CHECK(expand_node_list("node[01-03,07],login") ==
        Names{"node01", "node02", "node03", "node07", "login"});
  CHECK(expand_node_list("n[8-11]") == Names{"n8", "n9", "n10", "n11"});
  CHECK(expand_node_list("n[098-101]") == Names{"n098", "n099", "n100", "n101"});
  CHECK(expand_node_list("n[5]") == Names{"n5"});
  CHECK(expand_node_list("rack[1-2]n[3-4].site") ==
        Names{"rack1n3.site", "rack1n4.site", "rack2n3.site", "rack2n4.site"});
  CHECK(expand_node_list("x[0-65535]").size() == 65536);
}

TEST_CASE("texts that are no node lists are refused") {
  for (const auto* text : {"",
                           ",",
                           "a,",
                           ",a",
                           "a,,b",
                           "n[",
                           "n]",
                           "n[]",
                           "n[1",
                           "n1]",
                           "n[[1]]",
                           "n[1]]",
                           "n[1,]",
                           "n[,1]",
                           "n[-3]",
                           "n[1-]",
                           "n[3-1]",
                           "n[a]",
                           "n[1-2-3]",
                           "n[1 ]",
                           "n[+1]",
                           "n[0-65536]",
                           "n[1-999999999]",
                           "n[1-1000000000]",
                           "n[0000000001]",
                           "a[0-255]b[0-256]",
                           "a[0-65535],b",
                           "a[0-255]b[0-255]c[0-255]"}) {
    INFO(text);
    const auto message = error_message<UsageError>([&] { expand_node_list(text); });
    CHECK(message.rfind("[environment] SLURM node list: expected names such as node[01-03,07]",
                        0) == 0);
  }
}

TEST_CASE("tasks of each machine") {
  using Counts = std::vector<int>;
  CHECK(expand_task_counts("T", "4") == Counts{4});
  CHECK(expand_task_counts("T", "2(x3),1") == Counts{2, 2, 2, 1});
  CHECK(expand_task_counts("T", "1,2,3(x1)") == Counts{1, 2, 3});
  for (const auto* text : {"",
                           ",",
                           "2,",
                           "0",
                           "-1",
                           "2(x",
                           "2(x3",
                           "2(3)",
                           "2(x0)",
                           "2(x3)4",
                           "x3",
                           "2(x65537)",
                           "2(x65536),1",
                           "2 ",
                           "99999999999"}) {
    INFO(text);
    CHECK(error_message<UsageError>([&] { expand_task_counts("T", text); }) ==
          "[environment] T: expected counts such as 2(x3),1, got \"" + std::string(text) + "\".");
  }
}
