from panzoto import create_app
app = create_app()
