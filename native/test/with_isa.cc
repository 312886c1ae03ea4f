// Runs a test that is compiled for one instruction set. In: the set's name and the command; out: the command's status, or 77, which
// CTest counts as skipped, where this machine lacks the set.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "../runtime/cpu.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const char* isa = argv[1];
  if ((!std::strcmp(isa, "avx2") && !chainrule::cpuHasAvx2()) || (!std::strcmp(isa, "avx512") && !chainrule::cpuHasAvx512())) {
    std::printf("skipped: this machine has no %s\n", isa);
    return 77;
  }
  std::string command;
  for (int i = 2; i < argc; i++) command += std::string(i > 2 ? " " : "") + '"' + argv[i] + '"';
  std::fflush(stdout);
  return std::system(command.c_str()) == 0 ? 0 : 1;
}
