"""Pages for people in browsers: signing in, letting a program act as oneself, logging out. Plain HTML, no script."""
