#!/usr/bin/env bash
# Release: checks, dated changelog, commit, annotated tag, wheel and Debian package. See docs/releasing.md.
#   deploy/release.sh X.Y.Z          as `make release VERSION=X.Y.Z` calls it
# Environment: SKIP_TESTS=1 leaves out the tests, for a commit that CI has tested. RELEASE_DATE=YYYY-MM-DD replaces
# today's date. Exit codes: 0 done, 1 a check or a build failed, 2 the release is refused.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'release: %s\n' "$*"; }
refuse() { printf 'release: %s\n' "$*" >&2; exit 2; }

version=${1:-}
tag=v$version
date=${RELEASE_DATE:-$(date -u +%F)}
app=deploy/home_assistant/app/config.yaml
changed=(pyproject.toml CHANGELOG.md docs/asyncapi.yaml docs/schemas "$app")

main() {
    refuse_faults
    trap restore EXIT
    write_version
    # Packages are installed anew because pyproject.toml changed; then docs/asyncapi.yaml contains the new version.
    make --no-print-directory schemas
    if [ "${SKIP_TESTS:-}" = 1 ]; then make --no-print-directory check; else make --no-print-directory test; fi
    git commit --quiet --message "Release $version" -- "${changed[@]}"
    trap - EXIT
    git tag --annotate --message "Earshot $version" "$tag"
    say "committed and tagged $tag"
    make --no-print-directory packages || {
        say "the build failed; commit and tag exist. Correct the cause and run: make packages" >&2
        say "or undo both: git tag --delete $tag && git reset --hard HEAD~1" >&2
        exit 1
    }
    say "done: dist/. Next: git push --follow-tags"
}

refuse_faults() {
    [[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] ||
        refuse "the version is '$version', must be X.Y.Z. Run: make release VERSION=0.2.0"
    [ -z "$(git status --porcelain)" ] || refuse "there are uncommitted changes. Commit or stash them: git status"
    ! git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null ||
        refuse "the tag $tag exists. Choose the next version, see docs/versions.md"
    [ "$(grep -c '^version = ' pyproject.toml)" = 1 ] || refuse "pyproject.toml must have one line that begins with 'version = '"
    grep -q '^## Unreleased$' CHANGELOG.md || refuse "CHANGELOG.md has no section '## Unreleased'. Add it above the last version"
    awk '/^## / { inside = ($0 == "## Unreleased") } inside && /^- / { found = 1 } END { exit !found }' CHANGELOG.md ||
        refuse "CHANGELOG.md has nothing under '## Unreleased'. Describe there what users notice"
}

write_version() {
    sed -i "s/^version = .*/version = \"$version\"/" pyproject.toml
    sed -i "s/^version: .*/version: \"$version\"/" "$app"
    sed -i "s/^## Unreleased\$/&\n\n## $version - $date/" CHANGELOG.md
}

# Before the commit, a failure leaves the files as they were.
restore() {
    git restore --staged --worktree -- "${changed[@]}"
    say "not released; the files are as before" >&2
    exit 1
}

main
