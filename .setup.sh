# Sourced by ./quickstart and ./test: finds or installs what the build needs.
# Debian packages by apt-get when root; otherwise it says exactly what to install.

need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    # Not Debian: trust the compiler's own messages, but say what is meant.
    echo "note: this is not a Debian system; the equivalents of these packages are needed: ${missing[*]}" >&2
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "Please install what is missing, then run this again:" >&2
    echo "  sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_rust() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  local channel
  channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! command -v cargo >/dev/null; then
    if [ "$(id -u)" -eq 0 ] && apt-cache show rustup >/dev/null 2>&1; then
      need_packages rustup
    else
      echo "Please install Rust $channel with rustup (https://rustup.rs), then run this again." >&2
      exit 1
    fi
  fi
  if ! cargo --version >/dev/null 2>&1; then
    echo "Rust $channel is not installed; trying: rustup toolchain install $channel" >&2
    rustup toolchain install "$channel" --profile minimal -c rustfmt -c clippy
  fi
}

# C++ for RocksDB (its bindings are made with libclang), Python for the data and the reference verifier.
need_packages build-essential libclang-dev clang python3
# Drills that cut links need network namespaces, which only root can make.
[ "$(id -u)" -ne 0 ] || need_packages iproute2
need_rust
