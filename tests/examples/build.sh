#!/usr/bin/env bash
# Installs the author component and builds the examples against it: with CMake, and with the compiler alone.
# Usage: build.sh SOURCE_DIR BUILD_DIR WORK_DIR
set -euo pipefail
source=$1 build=$2 work=$3
cmake=${CMAKE:-cmake}
flags=
[ -z "${SANITIZE:-}" ] || flags="-fsanitize=$SANITIZE"
rm -rf "$work"
mkdir -p "$work/plugins"

"$cmake" --install "$build" --prefix "$work/sdk" --component author > "$work/install.log"
[ ! -e "$work/sdk/include/grpo/sdk" ] || { echo "the author component holds headers of the host side" >&2; exit 1; }

# Somewhere else than the source tree, so that nothing but the package can be found.
examples="reward-c reward-cpp optimizer-cpp sampler-cpp model-cpp getting-started"
for example in $examples; do
  cp -r "$source/examples/$example" "$work"
  (
    cd "$work/$example"
    "$cmake" -S . -B build -DCMAKE_PREFIX_PATH="$work/sdk" -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_C_FLAGS="-Wall -Wextra -Wpedantic -Werror $flags" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wpedantic -Werror $flags" \
      -DGRPO_SANITIZE="${SANITIZE:-}"
    "$cmake" --build build
  ) > "$work/$example.log" 2>&1 || { cat "$work/$example.log" >&2; exit 1; }
  cp "$work/$example"/build/*.so "$work/plugins"
done

# Without CMake, as docs/plugin-author.md shows it.
if [ -z "$flags" ]; then
  export PKG_CONFIG_PATH=$work/sdk/lib/pkgconfig:$(echo "$work"/sdk/lib/*/pkgconfig)
  mkdir -p "$work/plain"
  cd "$work/reward-c"
  cc -O2 -shared -fPIC brevity.c $(pkg-config --cflags --libs grpo) -o brevity.so
  mv brevity.so "$work/plain"
  cd "$work/reward-cpp"
  c++ -O2 -std=c++17 -shared -fPIC boxed.cpp $(pkg-config --cflags --libs grpo) -o boxed.so
  mv boxed.so "$work/plain"
  cmp <(nm -D --defined-only "$work/plain/brevity.so" | cut -d' ' -f3) <(echo grpo_plugin_entry)
fi

# A component that does not exist is refused by name.
mkdir -p "$work/wrong"
printf 'cmake_minimum_required(VERSION 3.23)\nproject(wrong LANGUAGES C)\nfind_package(grpo REQUIRED COMPONENTS nothing)\n' \
  > "$work/wrong/CMakeLists.txt"
if "$cmake" -S "$work/wrong" -B "$work/wrong/build" -DCMAKE_PREFIX_PATH="$work/sdk" > "$work/wrong.log" 2>&1; then
  echo "find_package(grpo COMPONENTS nothing) was answered" >&2
  exit 1
fi
grep -q "grpo has no component 'nothing'" "$work/wrong.log"
