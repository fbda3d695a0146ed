package pluginhost

// lookupAccount: starting a process as another user takes that user's password here, which no file should hold.
func lookupAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	return nil, final("user = %q: plugins run as the agent's user on Windows; remove it", name)
}

func (a *account) uid() int { return -1 }

func (a *account) reaches(string) error { return nil }
