package conformance

// canInterrupt: SIGINT can be sent to one process.
const canInterrupt = false
