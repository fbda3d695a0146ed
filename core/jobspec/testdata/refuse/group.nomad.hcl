# Every block of a job and a group that the other files do not have.
job "group" {
  id          = "the-id"
  name        = "the name"
  region      = "eu"
  namespace   = "team"
  priority    = 70
  all_at_once = true
  node_pool   = "gpu"
  multiregion {
    strategy {
      max_parallel = 1
      on_failure   = "fail_all"
    }
    region "eu" {
      count       = 2
      datacenters = ["dc1"]
    }
  }
  ui {
    description = "text"
    link {
      label = "docs"
      url   = "https://example.com"
    }
  }
  group "g" {
    shutdown_delay               = "6s"
    max_run_duration             = "1h"
    stop_after_client_disconnect = "1m"
    ephemeral_disk {
      size    = 500
      sticky  = true
      migrate = true
    }
    disconnect {
      lost_after = "1h"
    }
    scaling {
      min = 2
      max = 9
      policy {
        cooldown = "1m"
        check "cpu" {
          source = "x"
        }
      }
    }
    network {
      mode     = "bridge"
      hostname = "h"
      dns {
        servers = ["1.1.1.1"]
      }
      cni {
        args = { a = "b" }
      }
      port "dyn" {
        to           = -1
        host_network = "public"
      }
      port "fixed" {
        static           = 443
        ignore_collision = true
      }
    }
    service {
      name       = "${TASKGROUP}-svc"
      port       = "dyn"
      on_update  = "ignore"
      meta { a = "b" }
      canary_tags = ["canary"]
      weights {
        passing = 5
        warning = 0
      }
      check_restart {
        limit = 3
      }
      check {
        type     = "http"
        path     = "/"
        interval = "5s"
        timeout  = 1000000000
        header {
          Accept = ["a", "b"]
          Host   = "one"
        }
      }
      check {
        name     = "own"
        type     = "tcp"
        interval = "5s"
        timeout  = "1s"
        check_restart {
          limit = 1
          grace = "9s"
        }
      }
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "db"
              local_bind_port  = 5432
            }
            expose {
              path {
                path            = "/m"
                local_path_port = 80
              }
            }
            config { a = 1 }
          }
        }
        sidecar_task {
          resources { cpu = 10 }
        }
      }
    }
    task "t" {
      driver = "exec"
      service {
        port = "fixed"
      }
    }
  }
}
