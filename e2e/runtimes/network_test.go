package runtimes

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// page is a web server in Java.
const page = `import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
public class Page {
  public static void main(String[] args) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(8082), 0);
    byte[] text = "from the machine\\n".getBytes();
    server.createContext("/", x -> { x.sendResponseHeaders(200, text.length); x.getResponseBody().write(text); x.close(); });
    server.start();
  }
}
`

// together is a group whose tasks run under three drivers: the one makes the namespace, the others join it.
const together = `
job "together" {
  group "g" {
    network {
      mode     = "bridge"
      hostname = "together"
      port "http" { to = 8080 }
      dns {
        servers = ["192.0.2.53"]
      }
    }
    task "container" {
      driver = "docker"
      config {
        image   = "busybox:1"
        command = "sh"
        args    = ["-c", "busybox mkdir /www && echo from the container > /www/index.html && exec busybox httpd -f -p 8080 -h /www"]
      }
    }
    task "process" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo from the process > local/index.html; exec busybox httpd -f -p 8081 -h local"]
      }
    }
    task "machine" {
      driver = "java"
      config {
        class_path  = "/share/page.jar"
        class       = "Page"
        jvm_options = ["-Xint", "-XX:TieredStopAtLevel=1", "-Xmx64m"]
      }
      resources {
        memory = 256
      }
    }
  }
}`

// TestTasksOfThreeDriversShareLocalhost: a container, an isolated process and a JVM in one group see each other on
// localhost, and the host reaches them through the one bridge.
func TestTasksOfThreeDriversShareLocalhost(t *testing.T) {
	d := docker(t)
	share := t.TempDir()
	archive(t, share, "Page", page, "page.jar")
	var random [3]byte
	_, _ = rand.Read(random[:])
	bridge := "dr" + hex.EncodeToString(random[:])
	a := agentWith(t, d, fmt.Sprintf(`
client {
  bridge_network_name   = %q
  bridge_network_subnet = "10.%d.%d.0/24"
  cni_path              = %q
}
plugin "java" {
  config {
    chroot_env = {
      "/bin" = "/bin", "/etc" = "/etc", "/lib" = "/lib", "/lib64" = "/lib64", "/usr" = "/usr", %q = "/share"
    }
  }
}`, bridge, 200+random[0]%50, random[1], filepath.Join(harness.Bin(t), "cni"), share))
	t.Cleanup(func() {
		if t.Failed() { // the agent leaves tasks and their networks running when it ends
			a.CLI("job", "stop", "-purge", "together")
		}
	})
	a.RunJob(strings.Replace(together, `      hostname = "together"`+"\n", "", 1))
	al := a.WaitAllocs("together", 1, "running", time.Minute)[0]
	in := func(task string, argv ...string) string {
		t.Helper()
		text := ""
		a.Eventually(30*time.Second, fmt.Sprintf("%v in %s", argv, task), func() error {
			out, errs, code := a.CLI(append([]string{"alloc", "exec", "-i=false", "-t=false", "-task", task, al.ID}, argv...)...)
			if text = out; code != 0 {
				return fmt.Errorf("code %d: %s%s", code, out, errs)
			}
			return nil
		})
		return text
	}
	const get = "import sys,urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
	if got := in("process", "/usr/bin/python3", "-c", get, "http://127.0.0.1:8080/"); !strings.Contains(got, "from the container") {
		t.Errorf("the process reads %q", got)
	}
	if got := in("process", "/usr/bin/python3", "-c", get, "http://127.0.0.1:8082/"); !strings.Contains(got, "from the machine") {
		t.Errorf("the process reads %q of the JVM", got)
	}
	if got := in("container", "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8082/"); !strings.Contains(got, "from the machine") {
		t.Errorf("the container reads %q of the JVM", got)
	}
	if got := in("machine", "/usr/bin/python3", "-c", get, "http://127.0.0.1:8081/"); !strings.Contains(got, "from the process") {
		t.Errorf("beside the JVM one reads %q of the process", got)
	}
	one := in("container", "busybox", "readlink", "/proc/self/ns/net")
	for _, task := range []string{"process", "machine"} {
		if other := in(task, "/bin/readlink", "/proc/self/ns/net"); one != other || one == "" {
			t.Errorf("the container's network is %s, that of %s %s", one, task, other)
		}
	}
	for _, task := range []string{"process", "container", "machine"} {
		if got := in(task, "cat", "/etc/resolv.conf"); !strings.Contains(got, "nameserver 192.0.2.53") {
			t.Errorf("%s resolves by %q", task, got)
		}
	}
	var full struct {
		AllocatedResources struct {
			Shared struct{ Ports []struct{ Value int } }
		}
	}
	if err := a.Get("/v1/allocation/"+al.ID, &full); err != nil {
		t.Fatal(err)
	}
	port := full.AllocatedResources.Shared.Ports[0].Value
	out, err := exec.Command("python3", "-c", get, fmt.Sprintf("http://127.0.0.1:%d/", port)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "from the container") {
		t.Errorf("the host reads %q, %v", out, err)
	}
	refused, errs, code := a.CLIInput(together, "job", "run", "-detach", "-")
	if code == 0 || !strings.Contains(refused+errs, "hostname") {
		t.Errorf("a hostname that one of the drivers cannot give: code %d: %s%s", code, refused, errs)
	}
	stopAll(t, a, d, "together")
	a.Eventually(20*time.Second, "no network is left", func() error {
		if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
			return fmt.Errorf("bridge %s is there", bridge)
		}
		return nil
	})
}
