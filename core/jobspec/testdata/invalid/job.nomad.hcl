job "has space" {
  type        = "servise"
  priority    = 101
  datacenters = ["dc1", ""]
}
