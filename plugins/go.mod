module github.com/droverhq/drover/plugins

go 1.26.0

require github.com/droverhq/drover/sdk v0.0.0

replace github.com/droverhq/drover/sdk => ../sdk
