package fingerprint

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// defaultRoute is the interface of the IPv4 default route with the lowest metric, "" when there is none.
func defaultRoute([]iface) string {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return ""
	}
	defer f.Close()
	name, best := "", -1
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		// Iface Destination Gateway Flags RefCnt Use Metric Mask ...
		v := strings.Fields(sc.Text())
		if len(v) < 8 || v[1] != "00000000" || v[7] != "00000000" {
			continue
		}
		metric, err := strconv.Atoi(v[6])
		if err == nil && (best < 0 || metric < best) {
			name, best = v[0], metric
		}
	}
	return name
}

// linkSpeed is in Mbit/s; virtual links do not say.
func linkSpeed(name string) int {
	b, err := os.ReadFile("/sys/class/net/" + name + "/speed")
	if err != nil {
		return defaultSpeed
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n <= 0 {
		return defaultSpeed
	}
	return n
}
