module github.com/droverhq/drover/e2e

go 1.26.0
