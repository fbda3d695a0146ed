package wine

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// TestSite: the Windows agent and the iis driver run a site on the stand-in for IIS, which answers as the real appcmd
// does and serves what the site has.
func TestSite(t *testing.T) {
	m := newMachine(t)
	m.installIIS()
	a := m.start(m.install("drover-driver-iis.exe", "drover-driver-raw-exec.exe"), rawExecEnabled)
	attributes := a.waitDriver("iis")
	if attributes["driver.iis.iis_version"] != "10.0" {
		t.Errorf("driver.iis.iis_version is %q", attributes["driver.iis.iis_version"])
	}
	a.RunJob(`job "site" {
  group "g" {
    network {
      port "http" {}
    }
    task "page" {
      driver = "raw_exec"
      lifecycle {
        hook = "prestart"
      }
      config {
        command = "cmd.exe"
        args    = ["/c", "mkdir %NOMAD_ALLOC_DIR%\\data\\www & echo hello> %NOMAD_ALLOC_DIR%\\data\\www\\page.txt"]
      }
    }
    task "web" {
      driver       = "iis"
      kill_timeout = "5s"
      env { COLOR = "blue" }
      config {
        application {
          path = "../alloc/data/www"
        }
        binding {
          type = "http"
          port = "http"
        }
      }
    }
  }
}`)
	alloc := a.WaitAllocs("site", 1, "running", time.Minute)[0]
	base := a.address(alloc.ID, "http")
	expectPage(t, base+"/page.txt", "hello")
	expectPage(t, base+"/.env/COLOR", "blue")
	list := m.run(`C:\windows\system32\inetsrv\appcmd.exe`, "list", "site", "/xml")
	if !strings.Contains(list, alloc.ID) || !strings.Contains(list, `state="Started"`) {
		t.Errorf("IIS has\n%s", list)
	}
	harness.Eventually(t, time.Minute, "the task runs", func() error {
		if state := a.Allocs("site")[0].TaskStates["web"].State; state != "running" {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
	a.MustCLI("alloc", "signal", "-s", "RECYCLE", alloc.ID, "web")
	expectPage(t, base+"/page.txt", "hello")
	a.MustCLI("job", "stop", "site")
	a.WaitAllocs("site", 1, "complete", time.Minute)
	harness.Eventually(t, time.Minute, "nothing is left in IIS", func() error {
		list, err := os.ReadFile(m.file("windows", "system32", "inetsrv", "state.json"))
		if err != nil || strings.Contains(string(list), alloc.ID) {
			return fmt.Errorf("%s %v", list, err)
		}
		return nil
	})
}

// installIIS puts the stand-in where appcmd lies, and runs it as the service that the driver looks for.
func (m *machine) installIIS() {
	m.t.Helper()
	tool := m.file("windows", "system32", "inetsrv", "appcmd.exe")
	m.build("drivers-iis", "./testdata/appcmd", tool)
	m.run("sc", "create", "W3SVC", "binPath=", `C:\windows\system32\inetsrv\appcmd.exe w3svc`)
	m.run("net", "start", "W3SVC")
	for name, value := range map[string]string{"MajorVersion": "10", "MinorVersion": "0"} {
		m.run("reg", "add", `HKLM\SOFTWARE\Microsoft\InetStp`, "/v", name, "/t", "REG_DWORD", "/d", value, "/f")
	}
}

// build builds a Windows program of one of the project's modules.
func (m *machine) build(module, pkg, to string) {
	m.t.Helper()
	build := exec.Command("go", "build", "-o", to, pkg)
	build.Dir = filepath.Join(filepath.Dir(harness.Bin(m.t)), module)
	build.Env = append(os.Environ(), "GOWORK=", "GOOS=windows", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		m.t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// address is where a port of an allocation is.
func (a *agent) address(alloc, label string) string {
	a.m.t.Helper()
	var found struct {
		AllocatedResources struct {
			Shared struct {
				Ports []struct {
					Label  string
					Value  int
					HostIP string
				}
			}
		}
	}
	if err := a.Get("/v1/allocation/"+alloc, &found); err != nil {
		a.m.t.Fatal(err)
	}
	for _, p := range found.AllocatedResources.Shared.Ports {
		if p.Label == label {
			return fmt.Sprintf("http://%s:%d", p.HostIP, p.Value)
		}
	}
	a.m.t.Fatalf("allocation %s has no port %s: %+v", alloc, label, found)
	return ""
}

func expectPage(t *testing.T, url, want string) {
	t.Helper()
	harness.Eventually(t, time.Minute, url, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if got := strings.TrimSpace(string(body)); got != want {
			return fmt.Errorf("got %q, want %q, %v", got, want, err)
		}
		return nil
	})
}
