# shellcheck shell=sh
# disk.sh: a filesystem of its own for a case's store, mounted at $T/disk.
#
#	disk_make KIND MIB	tmpfs, or ext4, xfs, btrfs on a loop device; skips
#				the case when this machine cannot
#	disk_take MIB		take so much of it
#	disk_fill		take all that is left of it
#	disk_free MIB		give so much of that back
#	disk_unfill		give all of it back
#	disk_drop		unmount it

disk_make() {
	mkdir "$T/disk"
	if [ "$1" = tmpfs ]; then
		mount -t tmpfs -o "size=$2m" ssefs-test "$T/disk" 2>"$T/err" ||
		    skip_all "a tmpfs cannot be mounted: $(cat "$T/err")"
		return
	fi
	command -v "mkfs.$1" >/dev/null || skip_all "mkfs.$1 is not installed"
	grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null ||
	    skip_all "this kernel has no $1"
	truncate -s "$2M" "$T/image"
	disk_force=-F
	[ "$1" = ext4 ] || disk_force=-f
	"mkfs.$1" -q $disk_force "$T/image" >"$T/out" 2>&1 ||
	    skip_all "mkfs.$1: $(tail -n 1 "$T/out")"
	disk_loop=$(losetup -f --show "$T/image" 2>"$T/err") ||
	    skip_all "no loop device: $(cat "$T/err")"
	if ! mount -t "$1" "$disk_loop" "$T/disk" 2>"$T/err"; then
		losetup -d "$disk_loop"
		skip_all "mount -t $1: $(cat "$T/err")"
	fi
	# It goes with the mount.
	losetup -d "$disk_loop"
}

disk_take() {
	dd if=/dev/zero bs=1M count="$1" >>"$T/disk/filler" 2>/dev/null
}

disk_fill() {
	for disk_bs in 1M 64k 4k; do
		dd if=/dev/zero bs=$disk_bs >>"$T/disk/filler" 2>/dev/null
	done
	sync -f "$T/disk"
}

disk_free() {
	disk_size=$(stat -c %s "$T/disk/filler")
	[ "$disk_size" -gt $(($1 << 20)) ] || disk_size=$(($1 << 20))
	truncate -s $((disk_size - ($1 << 20))) "$T/disk/filler"
}

disk_unfill() {
	rm -f "$T/disk/filler"
	sync -f "$T/disk"
}

disk_drop() {
	ok "the disk is unmounted" umount "$T/disk"
	rm -f "$T/image"
}
