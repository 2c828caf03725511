#!/bin/sh
# add-desktop.sh NAME : a folder for one more desktop, copied from the first, and its line in the list.
set -eu
cd "$(dirname "$0")"
name=${1:?"the desktop's name: lower-case letters, digits and -"}
case $name in
*[!a-z0-9-]* | -* | *-)
    echo "$name: lower-case letters, digits and - between them" >&2
    exit 2
    ;;
esac
if [ "${#name}" -gt 50 ] || [ -e "desktops/$name" ]; then
    echo "$name: is there already, or is longer than 50 letters" >&2
    exit 2
fi
mkdir "desktops/$name"
for file in namespace.yaml kustomization.yaml tandem.toml; do
    sed "s/office-1/$name/g" "desktops/office-1/$file" >"desktops/$name/$file"
done
echo "  - desktops/$name" >>kustomization.yaml
echo "desktops/$name/tandem.toml is to be written (tandem init), and then:"
echo "  kubectl create namespace tandem-$name && kubectl -n tandem-$name create secret generic passwords --from-file=desktop --from-file=cloud"
echo "  kubectl apply -k ."
