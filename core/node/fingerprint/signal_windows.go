package fingerprint

func lookSignals(_ *Config, r *Result) error {
	r.set("os.signals", "SIGINT,SIGKILL,SIGTERM")
	return nil
}
