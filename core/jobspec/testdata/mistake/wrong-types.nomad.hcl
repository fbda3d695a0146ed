job "web" {
  priority    = "high"
  datacenters = "dc1"
  meta        = ["a"]
  all_at_once = "perhaps"
  group "app" {
    count          = 1.5
    shutdown_delay = "soon"
    task "server" {
      driver       = ["exec"]
      kill_timeout = null
      env          = { A = { b = 1 } }
      config       = "text"
      resources { cpu = 99999999999999999999999 }
    }
  }
}
