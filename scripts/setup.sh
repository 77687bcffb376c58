#!/usr/bin/env bash
# Installs what the tests need besides Rust: a C compiler, PostgreSQL, OpenSSH, SeaweedFS, moto, servers
# of FTP and WebDAV, and Azurite.
# Says nothing and changes nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
command -v cc >/dev/null || packages+=(build-essential)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
{ [ -x /usr/sbin/sshd ] && command -v ssh-keygen >/dev/null; } || packages+=(openssh-server openssh-client)
{ command -v node >/dev/null && command -v npm >/dev/null; } || packages+=(nodejs npm)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

if [ "${#packages[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "setup: please install: ${packages[*]}" >&2
    exit 1
  fi
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "setup: run as root, or install these yourself: ${packages[*]}" >&2
      exit 1
    fi
    sudo=(sudo)
  fi
  echo "setup: installing ${packages[*]}" >&2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  install() {
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >"$log" 2>&1
  }
  # The package lists may be missing or old; fetch them only then.
  if ! install; then
    "${sudo[@]}" apt-get update -qq >&2
    if ! install; then
      cat "$log" >&2
      exit 1
    fi
  fi
fi

# Versions are fixed, so that a test that passes today passes tomorrow.
requirements=$(cat scripts/test-requirements.txt)
venv=${WINDLASS_TEST_VENV:-.venv}
if [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$requirements" ]; then
  echo "setup: installing SeaweedFS, moto and other servers into $venv" >&2
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/test-requirements.txt
  printf '%s\n' "$requirements" >"$venv/.requirements"
fi

locked=$(cat scripts/test-servers/package-lock.json)
if [ "$(cat "$venv/npm/.locked" 2>/dev/null)" != "$locked" ]; then
  echo "setup: installing Azurite into $venv/npm" >&2
  mkdir -p "$venv/npm"
  cp scripts/test-servers/package.json scripts/test-servers/package-lock.json "$venv/npm/"
  npm ci --prefix "$venv/npm" --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  printf '%s\n' "$locked" >"$venv/npm/.locked"
fi
