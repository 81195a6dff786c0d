package localdest

import "testing"

func TestDriveOf(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		`Z:\recordings`: "Z:", `z:/recordings`: "Z:", `C:`: "C:", `\\?\D:\recordings`: "D:", `//?/d:/recordings`: "D:",
		`\\nas\recordings`: "", `\\?\UNC\nas\recordings`: "", `/srv/recordings`: "", ``: "", `1:\x`: "", `[:\x`: "", `\x`: "",
	} {
		if got := driveOf(dir); got != want {
			t.Errorf("driveOf(%q) = %q, want %q", dir, got, want)
		}
	}
}

func TestShareOf(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		`\\nas\recordings`:              `\\nas\recordings`,
		`\\nas\recordings\`:             `\\nas\recordings`,
		`\\nas.example\rec$\calls\2026`: `\\nas.example\rec$`,
		`//nas/recordings/calls`:        `\\nas\recordings`,
		`\\?\UNC\nas\recordings\calls`:  `\\nas\recordings`,
		`\\?\unc\nas\recordings`:        `\\nas\recordings`,
		`\\nas`:                         "", `\\nas\`: "", `\\`: "", `\\\recordings`: "",
		`\\?\C:\recordings`: "", `\\?\Volume{1}\`: "", `\\.\pipe\x`: "", `C:\recordings`: "", `\recordings`: "", "": "",
	} {
		if got := shareOf(dir); got != want {
			t.Errorf("shareOf(%q) = %q, want %q", dir, got, want)
		}
	}
}

func TestBehind(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		`Z:\`: `\\nas\recordings`, `Z:`: `\\nas\recordings`, `z:/calls/2026`: `\\nas\recordings\calls\2026`, `\\?\Z:\calls\`: `\\nas\recordings\calls`,
	} {
		if got := behind(dir, `\\nas\recordings`); got != want {
			t.Errorf("behind(%q) = %q, want %q", dir, got, want)
		}
	}
}
