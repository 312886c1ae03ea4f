// The module: exports, per-environment state, info, threads, forceIsa. In: Node loading the addon, once per environment. Out: the functions
// that src/backend/native calls.
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <cstdio>
#include <cstdlib>
#include <new>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "environment.h"
#include "values.h"

#if !defined(CHAINRULE_VERSION)
#define CHAINRULE_VERSION "0.0.0"
#endif

namespace chainrule::addon {

Environment* environmentOf(napi_env env) {
  void* data = nullptr;
  return napi_get_instance_data(env, &data) == napi_ok ? static_cast<Environment*>(data) : nullptr;
}

namespace {

napi_value text(napi_env env, const char* value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

/// The file this library was loaded from.
napi_value libraryPath(napi_env env) {
  napi_value result = nullptr;
#if defined(_WIN32)
  HMODULE self = nullptr;
  wchar_t path[32768];
  const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (GetModuleHandleExA(flags, reinterpret_cast<LPCSTR>(&libraryPath), &self))
    napi_create_string_utf16(env, reinterpret_cast<const char16_t*>(path), GetModuleFileNameW(self, path, 32768), &result);
#else
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&libraryPath), &self) && self.dli_fname) result = text(env, self.dli_fname);
#endif
  return result ? result : text(env, "");
}

/// Our threads never end, so the library must not be unloaded when the last Worker that used it has gone. (-z nodelete says the same
/// on Linux, but not every linker has it.)
void pinLibrary() {
#if defined(_WIN32)
  HMODULE self;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN, reinterpret_cast<LPCSTR>(&pinLibrary), &self);
#else
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&pinLibrary), &self) && self.dli_fname) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

/// Throws an error that names what can be had.
napi_value failIsa(napi_env env, const char* what, const char* name) {
  const KernelTable* tables[kMaxIsas];
  const int count = availableIsas(tables);
  char message[256];
  size_t length =
      static_cast<size_t>(snprintf(message, sizeof message, "%s: no instruction set '%.32s' on this machine; there are:", what, name));
  for (int i = 0; i < count && length < sizeof message; ++i)
    length += static_cast<size_t>(snprintf(message + length, sizeof message - length, " %s", tables[i]->name));
  return fail(env, message, "ERR_CHAINRULE_ISA");
}

napi_value info(napi_env env, napi_callback_info) {
  Environment* environment = environmentOf(env);
  napi_value result = nullptr, names = nullptr;
  if (!environment || napi_create_object(env, &result) != napi_ok) return nullptr;
  const KernelTable* tables[kMaxIsas];
  const int count = availableIsas(tables);
  if (napi_create_array(env, &names) != napi_ok) return nullptr;
  for (int i = 0; i < count; ++i) napi_set_element(env, names, static_cast<uint32_t>(i), text(env, tables[i]->name));
  const Pool& pool = Pool::instance();
  napi_set_named_property(env, result, "version", text(env, CHAINRULE_VERSION));
  napi_set_named_property(env, result, "path", libraryPath(env));
  napi_set_named_property(env, result, "formatVersion", number(env, kFormatVersion));
  napi_set_named_property(env, result, "tableHash", number(env, kTableHash));
  napi_set_named_property(env, result, "napi", number(env, NAPI_VERSION));
  napi_set_named_property(env, result, "isa", text(env, environment->kernels->name));
  napi_set_named_property(env, result, "isas", names);
  napi_set_named_property(env, result, "threads", number(env, pool.threads()));
  napi_set_named_property(env, result, "threadsSource", text(env, pool.source()));
  return result;
}

napi_value threads(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  napi_valuetype type = napi_undefined;
  if (arguments[0]) napi_typeof(env, arguments[0], &type);
  if (type != napi_undefined) {
    double count = 0;
    if (napi_get_value_double(env, arguments[0], &count) != napi_ok || !(count >= 1 && count <= kMaxThreads) ||
        count != static_cast<int>(count))
      return fail(env, "threads(n): n must be an integer from 1 to 256");
    Pool::instance().setThreads(static_cast<int>(count), "set");
  }
  return number(env, Pool::instance().threads());
}

/// What the addon holds beside JavaScript's own memory, in bytes. Scratch is the whole process's, the rest this environment's.
napi_value memory(napi_env env, napi_callback_info) {
  Environment* environment = environmentOf(env);
  napi_value result = nullptr;
  if (!environment || napi_create_object(env, &result) != napi_ok) return nullptr;
  size_t arenas = environment->arena.capacity() + environment->words.capacity();
  for (const Queue* queue : environment->queues) arenas += queue->arenaBytes();
  const ProgramTable& table = *environment->programs;
  size_t programs = 0;
  for (int32_t i = 0; i < table.capacity; ++i)
    if (table.entries[i]) programs += table.entries[i]->bytes();
  const struct {
    const char* name;
    size_t bytes;
  } fields[] = {{"arenas", arenas},
                {"staging", environment->staging.bytes()},
                {"programs", programs},
                {"scratch", Pool::instance().scratchBytes() + 2 * kThreadScratchBytes}};
  for (const auto& field : fields) napi_set_named_property(env, result, field.name, number(env, static_cast<double>(field.bytes)));
  return result;
}

napi_value forceIsa(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  Arguments<1> arguments(env, info);
  char name[64];
  size_t length = 0;
  if (!environment || !arguments.ok || !arguments[0] ||
      napi_get_value_string_utf8(env, arguments[0], name, sizeof name, &length) != napi_ok)
    return fail(env, "forceIsa(name): name must be a string");
  const KernelTable* table = findIsa(name);
  if (!table) return failIsa(env, "forceIsa", name);
  environment->kernels = table;
  return nullptr;
}

void finalizeEnvironment(napi_env, void* data, void*) {
  Environment* environment = static_cast<Environment*>(data);
  environment->programs->release();
  delete environment;
}

napi_value initialize(napi_env env, napi_value exports) {
  const KernelTable* kernels = defaultIsa();
  if (!kernels) return failIsa(env, "CHAINRULE_ISA", getenv("CHAINRULE_ISA"));
  Environment* environment = new (std::nothrow) Environment(env, kernels);
  if (environment) environment->programs = new (std::nothrow) ProgramTable;
  if (!environment || !environment->programs) {
    delete environment;
    return fail(env, "out of memory");
  }
  pinLibrary();
  if (napi_set_instance_data(env, environment, finalizeEnvironment, nullptr) != napi_ok || !openJobs(*environment))
    return fail(env, "Node-API refused to set up the addon");
  struct Export {
    const char* name;
    napi_callback function;
  };
  const Export table[] = {
      {"load", load},     {"programInfo", programInfo}, {"runSync", runSync},
      {"runOne", runOne}, {"submit", submit},           {"onComplete", onComplete},
      {"wait", wait},     {"pending", pending},         {"cancel", cancel},
      {"info", info},     {"threads", threads},         {"forceIsa", forceIsa},
      {"memory", memory}, {"peak", peak},
  };
  for (const Export& entry : table) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function) != napi_ok ||
        napi_set_named_property(env, exports, entry.name, function) != napi_ok)
      return fail(env, "Node-API refused to set up the addon");
  }
  return exports;
}

}  // namespace
}  // namespace chainrule::addon

NAPI_MODULE_INIT() { return chainrule::addon::initialize(env, exports); }
