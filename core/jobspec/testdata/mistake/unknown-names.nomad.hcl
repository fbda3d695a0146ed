job "web" {
  datacentres = ["dc1"]
  group "app" {
    cuont = 2
    task "server" {
      driver = "exec"
      resource {
        cpu = 100
      }
      resources {
        mem = 100
      }
      nonsense_that_is_near_nothing = 1
    }
  }
}
