// CPU features and thread counts (see cpu.h).
#include "cpu.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sched.h>
#elif defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace chainrule {

namespace {

#if defined(__x86_64__)

/// The register states that the system saves (XCR0); 0 where AVX or FMA is missing.
unsigned savedStates() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  const bool fma = c >> 12 & 1, osxsave = c >> 27 & 1, avx = c >> 28 & 1;
  if (!fma || !osxsave || !avx) return 0;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr unsigned kSavesAvx = 0x06;     ///< SSE registers and their upper halves
constexpr unsigned kSavesAvx512 = 0xe6;  ///< and mask registers, upper halves of ZMM0-15, ZMM16-31

#endif

}  // namespace

bool cpuHasAvx2() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return (savedStates() & kSavesAvx) == kSavesAvx && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 5 & 1);
#else
  return false;
#endif
}

bool cpuHasAvx512() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if ((savedStates() & kSavesAvx512) != kSavesAvx512 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1);
#else
  return false;
#endif
}

bool cpuPrefersAvx512() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!cpuHasAvx512() || !__get_cpuid(0, &a, &b, &c, &d)) return false;
  const bool amd = b == 0x68747541 && d == 0x69746e65 && c == 0x444d4163;  // "AuthenticAMD"
  if (!amd || !__get_cpuid(1, &a, &b, &c, &d)) return false;
  const unsigned family = (a >> 8 & 15) + (a >> 20 & 255), model = (a >> 4 & 15) | (a >> 12 & 0xf0);
  // Zen 5 with pipes of 512 bits: servers (00–1f), desktops (40–4f). Its mobile parts have 256, as Zen 4 has.
  return family == 0x1a && (model < 0x20 || (model >= 0x40 && model < 0x50));
#else
  return false;
#endif
}

namespace {

#if defined(__linux__)

bool readText(const char* path, char* text, size_t capacity) {
  FILE* file = fopen(path, "re");
  if (!file) return false;
  const size_t length = fread(text, 1, capacity - 1, file);
  fclose(file);
  text[length] = 0;
  return length > 0;
}

/// The processors in the affinity mask; also how many distinct physical cores they are.
void countAffinity(int& logical, int& physical) {
  logical = physical = 0;
  constexpr int kCpus = 4096;
  alignas(8) unsigned char mask[kCpus / 8];
  cpu_set_t* set = reinterpret_cast<cpu_set_t*>(mask);
  if (sched_getaffinity(0, sizeof mask, set) != 0) return;
  for (int cpu = 0; cpu < kCpus; ++cpu) {
    if (!CPU_ISSET_S(cpu, sizeof mask, set)) continue;
    ++logical;
    char path[96], text[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    // A core is counted at the first of its threads that we may use.
    bool first = true;
    if (readText(path, text, sizeof text)) {
      for (const char* at = text; *at >= '0' && *at <= '9';) {
        char* end;
        const long from = strtol(at, &end, 10);
        const long to = *end == '-' ? strtol(end + 1, &end, 10) : from;
        for (long sibling = from; sibling <= to && sibling < cpu; ++sibling)
          if (CPU_ISSET_S(sibling, sizeof mask, set)) first = false;
        at = *end == ',' ? end + 1 : "";
      }
    }
    physical += first;
  }
}

int quotaOf(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>((quota + period - 1) / period)) : 0;
}

int quotaV2(const char* directory) {
  char path[700], text[64];
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", directory);
  double quota, period;
  return readText(path, text, sizeof text) && sscanf(text, "%lf %lf", &quota, &period) == 2 ? quotaOf(quota, period) : 0;
}

int quotaV1(const char* controller, const char* directory) {
  char path[700], text[64];
  snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/cpu.cfs_quota_us", controller, directory);
  if (!readText(path, text, sizeof text)) return 0;
  const double quota = atof(text);
  snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/cpu.cfs_period_us", controller, directory);
  return readText(path, text, sizeof text) ? quotaOf(quota, atof(text)) : 0;
}

/// The smallest quota from our own group up to the root; 0 for none.
int cgroupQuota() {
  char text[4096];
  if (!readText("/proc/self/cgroup", text, sizeof text)) return 0;
  int least = 0;
  auto take = [&](int quota) {
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  };
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line; line = strtok_r(nullptr, "\n", &rest)) {
    char* controllers = strchr(line, ':');
    char* directory = controllers ? strchr(controllers + 1, ':') : nullptr;
    if (!directory || strlen(directory) > 512) continue;
    *directory++ = 0;
    ++controllers;
    const bool v2 = *controllers == 0;
    const bool v1 = !strcmp(controllers, "cpu") || !strncmp(controllers, "cpu,", 4) || strstr(controllers, ",cpu,") ||
                    (strlen(controllers) > 4 && !strcmp(controllers + strlen(controllers) - 4, ",cpu"));
    if (!v2 && !v1) continue;
    for (;;) {
      if (!strcmp(directory, "/")) *directory = 0;
      take(v2 ? quotaV2(directory) : quotaV1(controllers, directory));
      if (v1) take(quotaV1("cpu", directory));
      char* slash = strrchr(directory, '/');
      if (!slash) break;
      *slash = 0;
    }
  }
  return least;
}

#else

void countAffinity(int& logical, int& physical) {
  logical = physical = 0;
#if defined(_WIN32)
  DWORD_PTR ours = 0, system = 0;
  if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &system))
    for (; ours; ours &= ours - 1) ++logical;
  SYSTEM_LOGICAL_PROCESSOR_INFORMATION table[512];
  DWORD bytes = sizeof table;
  if (GetLogicalProcessorInformation(table, &bytes))
    for (DWORD i = 0; i < bytes / sizeof table[0]; ++i) physical += table[i].Relationship == RelationProcessorCore;
  if (logical && physical > logical) physical = logical;
#elif defined(__APPLE__)
  size_t size = sizeof(int);
  sysctlbyname("hw.logicalcpu", &logical, &size, nullptr, 0);
  size = sizeof(int);
  // Efficiency cores would only hold up the others at each join.
  if (sysctlbyname("hw.perflevel0.physicalcpu", &physical, &size, nullptr, 0) != 0) {
    size = sizeof(int);
    sysctlbyname("hw.physicalcpu", &physical, &size, nullptr, 0);
  }
#endif
}

int cgroupQuota() { return 0; }

#endif

}  // namespace

int usableCores() {
  static const int cores = [] {
    int logical, physical;
    countAffinity(logical, physical);
    const int quota = cgroupQuota();
    return std::max(1, quota > 0 ? std::min(logical, quota) : logical);
  }();
  return cores;
}

ThreadCount defaultThreadCount() {
  if (const char* text = getenv("CHAINRULE_THREADS")) {
    char* end;
    const long wanted = strtol(text, &end, 10);
    if (end != text && *end == 0 && wanted >= 1) return {static_cast<int>(std::min(wanted, 256L)), "environment"};
  }
  int logical, physical;
  countAffinity(logical, physical);
  ThreadCount count{std::max(1, physical > 0 ? physical : logical), "cores"};
  const int quota = cgroupQuota();
  if (quota > 0 && quota < count.threads) count = {quota, "cgroup"};
  return count;
}

}  // namespace chainrule
