"""
The ROS 2 side of PAVE-Net: images in, people out.

colcon generates `pavenet_ros.msg` into the installed twin of this package; the line below lets
`import pavenet_ros.msg` find it there when the modules themselves run from the source tree.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
