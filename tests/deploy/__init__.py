"""What runs on real systems: systemd, Docker, proxies. Run by scripts/test-deploy.sh, as root on Debian or Ubuntu."""
