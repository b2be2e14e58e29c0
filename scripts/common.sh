# What the scripts share: where things lie, one line a step on stderr, one set-up at a time, and builds.
# Sourced, with bash's errexit, nounset and pipefail on. `root` is the checkout; file descriptor 9 holds its lock.

root=${BASH_SOURCE[0]%/*}/..
root=$(cd "$root" && pwd -P)
deps=$root/.deps
logs=$root/build/logs

# Some programs end as if nothing special had happened when they are interrupted; no further step may follow.
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*" >&2; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# logged STEP COMMAND…: runs the command with its output in STEP's log, of which the end is shown where it fails.
logged() {
  local log=$logs/$1.log status=0
  shift
  mkdir -p "$logs"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  ((status == 0)) && return
  if ((status < 128)); then
    tail -n 60 "$log" >&2
    say "error: this step failed; its whole output is in $log"
  fi
  exit "$status"
}

# Holds the checkout's lock until this process and the steps that it has started are gone.
take_lock() {
  mkdir -p "$deps"
  exec 9>"$deps/.lock"
  flock --nonblock 9 && return
  say "waiting for another set-up in this checkout"
  flock 9
}

# The LibTorch to build against: the user's own (LIBTORCH), which may be named by the folder above it, or ours.
libtorch_folder() {
  if [[ -z ${LIBTORCH:-} ]]; then
    printf '%s' "$deps/libtorch/torch"
  elif [[ -e $LIBTORCH/torch/lib/libtorch_cpu.so ]]; then
    (cd "$LIBTORCH/torch" && pwd -P)
  elif [[ -e $LIBTORCH/lib/libtorch_cpu.so ]]; then
    (cd "$LIBTORCH" && pwd -P)
  else
    fail "LIBTORCH: no lib/libtorch_cpu.so in $LIBTORCH; give the folder that holds include/ and lib/"
  fi
}

# libtorch_version FOLDER: such as 2.13.0, or nothing.
libtorch_version() {
  local header
  for header in torch/headeronly/version.h torch/csrc/api/include/torch/version.h; do
    [[ -e $1/include/$header ]] || continue
    tr -d '\\\n' <"$1/include/$header" | sed -nE 's/.*define TORCH_VERSION +"([0-9.]+)".*/\1/p' | grep . && return
  done
}

# build_folder PRESET: each LibTorch of the user's own has a build folder beside ours.
build_folder() {
  local folder=$root/build/$1
  if [[ -n ${LIBTORCH:-} ]]; then
    local of
    of=$(libtorch_folder) || exit
    folder+=-$(printf '%s %s' "$of" "$(libtorch_version "$of")" | cksum | cut -d' ' -f1)
  fi
  printf '%s' "$folder"
}

# As many compilers at once as there are cores, and memory for (a gigabyte and a half each).
build_jobs() {
  local cores kilobytes
  cores=$(nproc)
  kilobytes=$(sed -nE 's/^MemAvailable: +([0-9]+) kB/\1/p' /proc/meminfo)
  local fitting=$((${kilobytes:-0} / 1500000))
  ((fitting < 1)) && fitting=1
  printf '%s' "${CMAKE_BUILD_PARALLEL_LEVEL:-$((cores < fitting ? cores : fitting))}"
}

# build PRESET TARGET: configures where need be, then builds. A folder of another checkout (this one was moved), or one
# whose first configuration was interrupted, is configured afresh.
build() {
  local preset=$1 target=$2 folder of
  folder=$(build_folder "$preset")
  of=$(libtorch_folder)
  if [[ ! -e $folder/.configured || $(<"$folder/.configured") != "$root $of" ]]; then
    say "configuring ($preset, LibTorch $(libtorch_version "$of"))"
    rm -rf "$folder/CMakeCache.txt" "$folder/CMakeFiles" "$folder/.configured"
    mkdir -p "$folder"
    logged "configure-$preset" env -C "$root" cmake --preset "$preset" -B "$folder" -DLibTorch_ROOT="$of"
    printf '%s' "$root $of" >"$folder/.configured.new"
    mv "$folder/.configured.new" "$folder/.configured"
  fi
  say "building ($preset: $target; $logs/build-$preset.log)"
  logged "build-$preset" cmake --build "$folder" --target "$target" --parallel "$(build_jobs)"
}
