#!/usr/bin/env bash
# Makes a plugin of each kind and language with `grpo-host plugins new`, builds them against the installed author part,
# runs their own tests, and compiles them with the other compiler. Usage: build.sh SOURCE_DIR BUILD_DIR WORK_DIR
set -euo pipefail
source=$1 build=$2 work=$3
cmake=${CMAKE:-cmake} ctest=${CTEST:-ctest} host=$build/bin/grpo-host
strict="-Wall -Wextra -Wpedantic -Werror"
flags=$strict
[ -z "${SANITIZE:-}" ] || flags="$flags -fsanitize=$SANITIZE"
rm -rf "$work"
mkdir -p "$work/made" "$work/plugins"
"$cmake" --install "$build" --prefix "$work/sdk" --component author > "$work/install.log"

# All in one project, so that the compilers are looked for once.
printf 'cmake_minimum_required(VERSION 3.23)\nproject(made LANGUAGES C CXX)\nenable_testing()\n' > "$work/made/CMakeLists.txt"
for made in reward.c reward.cpp sampler.cpp model.cpp optimizer.c optimizer.cpp; do
  kind=${made%.*} language=${made#*.} name=new-${made/./_}
  "$host" plugins new "$kind" "$name" --lang "$language" --dir "$work/made" > "$work/new.log"
  echo "add_subdirectory($name)" >> "$work/made/CMakeLists.txt"
done
# Graders in C use libm, which cc does not link by itself.
use_libm() { sed -i 's/#include <stdlib.h>/#include <math.h>\n&/; s/ : self->otherwise;/ : fmin(self->otherwise, 1);/' "$1"; grep -q fmin "$1"; }
use_libm "$work/made/new-reward_c/new-reward_c.c"
{
  "$cmake" -S "$work/made" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/sdk" -DCMAKE_BUILD_TYPE=Debug -DGRPO_HOST="$host" \
    -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" -DGRPO_SANITIZE="${SANITIZE:-}"
  "$cmake" --build "$work/build" -j2
  "$ctest" --test-dir "$work/build" --output-on-failure
} > "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
# Each passes its own test, and is green in the validator, before anything is changed.
for test in '_test ' host_validates; do
  [ "$(grep -c "$test.*Passed" "$work/build.log")" = 6 ] || { cat "$work/build.log" >&2; exit 1; }
done
cp "$work"/build/new-*/*.so "$work/plugins"

# Without an installation: the headers where they are.
"$host" plugins new reward bare --lang c --dir "$work" > "$work/new.log"
use_libm "$work/bare/bare.c"
{
  "$cmake" -S "$work/bare" -B "$work/bare/build" "-DGRPO_HEADERS=$source/c_api/include;$source/sdk/include" \
    -DCMAKE_C_FLAGS="$flags" -DGRPO_HOST="$host"
  "$cmake" --build "$work/bare/build"
  "$ctest" --test-dir "$work/bare/build" --output-on-failure
} > "$work/bare.log" 2>&1 || { cat "$work/bare.log" >&2; exit 1; }
cp "$work/bare/build/bare.so" "$work/plugins"

# From an installation: where its own SDK is.
mkdir -p "$work/sdk/bin" && cp "$host" "$work/sdk/bin/"
"$work/sdk/bin/grpo-host" plugins new reward beside --plugins "$build/plugins" --dir "$work" > "$work/new.log"
grep -q -- "-DCMAKE_PREFIX_PATH=$work/sdk " "$work/new.log" || { cat "$work/new.log" >&2; exit 1; }

# The other compiler.
if command -v clang clang++ > /dev/null; then
  for file in "$work"/made/*/*.c; do clang -fsyntax-only -std=c11 $strict -I"$work/sdk/include" "$file"; done
  for file in "$work"/made/*/*.cpp; do clang++ -fsyntax-only -std=c++17 $strict -I"$work/sdk/include" "$file"; done
fi
