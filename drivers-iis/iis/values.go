package iis

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// poolIdentity is the account that IIS makes for each pool.
const poolIdentity = "ApplicationPoolIdentity"

// specificUser is the identity that needs a name and a password.
const specificUser = "SpecificUser"

// identityOf returns an identity as IIS spells it.
func identityOf(name string) (string, error) {
	all := []string{poolIdentity, "LocalSystem", "LocalService", "NetworkService", specificUser}
	for _, known := range all {
		if strings.EqualFold(known, name) {
			return known, nil
		}
	}
	return "", fmt.Errorf("identity %q is none of %s", name, strings.Join(all, ", "))
}

// timeSpan turns a duration ("90m") into IIS' form ("01:30:00"; with days "1.02:00:00"), in which it is also accepted.
func timeSpan(text string) (string, error) {
	if text == "" || matches(`^(\d{1,5}\.)?\d{1,2}:\d{2}:\d{2}$`, text) {
		return text, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return "", fmt.Errorf("%q is neither a duration such as 90m nor a time span such as 01:30:00", text)
	}
	s := int64(d / time.Second)
	clock := fmt.Sprintf("%02d:%02d:%02d", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		return strconv.FormatInt(days, 10) + "." + clock, nil
	}
	return clock, nil
}

// alias is a path in the site's URL space with the slash that may be left out.
func alias(text string) string {
	return "/" + strings.Trim(text, "/")
}
