"""A trace as one HTML page that needs nothing else.

``data``   what the page shows, worked out in one pass
``page``   the page around it; its parts are in the folder of that name
"""
