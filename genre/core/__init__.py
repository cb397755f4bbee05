"""What every part of the domain uses: errors, files, cache, parallel work, progress, params."""
